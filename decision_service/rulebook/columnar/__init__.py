"""The columnar engine: the same rules as expressions over a table of millions of rows, for DuckDB and Spark alike."""

from decision_service.rulebook.columnar.assessing import assessed
from decision_service.rulebook.columnar.parameters import INDUSTRY_CODE, is_parameter, with_parameters
from decision_service.rulebook.columnar.reading import facts_read
from decision_service.rulebook.columnar.truths import RULE, column_type

__all__ = ["INDUSTRY_CODE", "RULE", "assessed", "column_type", "facts_read", "is_parameter", "with_parameters"]
