"""Entries of a YAML list as a table: one value, key, entry or comment is changed and every other byte stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import yaml

from decision_service.errors import InputError
from decision_service.workbench.table_text import Cells, Row, Wanted, joined, newline_of, spliced
from decision_service.workbench.yaml_entry import Entry, rendered
from decision_service.workbench.yaml_places import Pair, Splice, content_end, key_node

GROUP = "list"
"""The column that says in which of several lists of the file a row stands."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file's rows are: under ``key``, or under ``key`` of each entry of ``inside``, which has a name."""

    key: str
    columns: tuple[str, ...]
    inside: str | None = None
    flow: bool = False  # how an entry is written if there is none to follow


@dataclass(slots=True)
class _List:
    """One YAML list: where its entries stand."""

    node: yaml.Node
    group: str
    entries: list[Entry] = field(default_factory=list)
    first: int = 0  # the place of its first row in the table


class YamlTable:
    """A file that the loader has accepted, with its entries as rows."""

    def __init__(self, text: str, layout: Layout) -> None:
        self._text = text
        self._layout = layout
        self._lists = list(self._find_lists())
        self.rows: Sequence[Row] = tuple(self._row(one, entry) for one in self._lists for entry in one.entries)

    def placed(self, wanted: Sequence[Wanted]) -> list[int]:
        """Rows stand list by list."""
        return [place for one in self._lists for place, row in enumerate(wanted) if self._belongs(row, one)]

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the file's lists, if there are several."""
        return tuple(one.group for one in self._lists) if self._layout.inside else ()

    def reread(self, text: str) -> YamlTable:
        """The same table in another version of its text. Raises ``yaml.YAMLError``, ``InputError``."""
        return YamlTable(text, self._layout)

    def rewritten(self, wanted: Sequence[Wanted]) -> str:
        """The file with these rows. Raises ``InputError`` where a list is written in one line."""
        splices: list[Splice] = []
        for one in self._lists:
            splices += self._rewritten(one, [row for row in wanted if self._belongs(row, one)])
        return spliced(self._text, splices)

    def _belongs(self, row: Wanted, one: _List) -> bool:
        return not self._layout.inside or row.cells[GROUP] == one.group

    def _find_lists(self) -> Iterator[_List]:
        root = yaml.compose(self._text, Loader=yaml.SafeLoader)
        assert root is not None  # the loader refuses an empty file
        first = 0
        for group, (key, node) in self._list_nodes(root):
            found = _List(node, group, first=first)
            for one in node.value if isinstance(node, yaml.SequenceNode) else ():
                begin = found.entries[-1].end if found.entries else key.end_mark.index
                found.entries.append(Entry(self._text, one, after=begin))
            first += len(found.entries)
            yield found

    def _list_nodes(self, root: yaml.Node) -> Iterator[tuple[str, Pair]]:
        layout = self._layout
        if layout.inside is None:
            yield "", _pair(root, layout.key)
            return
        for one in _pair(root, layout.inside)[1].value:
            yield str(_pair(one, "name")[1].value), _pair(one, layout.key)

    def _row(self, one: _List, entry: Entry) -> Row:
        cells = dict(entry.cells(self._layout.columns))
        if self._layout.inside:
            cells[GROUP] = one.group
        return Row(cells, entry.lines)

    def _rewritten(self, one: _List, wanted: Sequence[Wanted]) -> list[Splice]:
        origins = [row.origin for row in wanted]
        own = list(range(one.first, one.first + len(one.entries)))
        if origins == own:
            return [
                splice
                for row, entry, place in zip(wanted, one.entries, own)
                for splice in entry.changes(self._changed(row, place))
            ]
        if not isinstance(one.node, yaml.SequenceNode) or one.node.flow_style:
            return self._filled(one, wanted)
        begin, end = one.entries[0].begin, one.entries[-1].end
        same_last = bool(wanted) and wanted[-1].origin == own[-1]
        open_end = same_last and end == len(self._text) and not self._text.endswith("\n")
        chunks = [self._chunk(row, one) for row in wanted]
        return [(begin, end, joined(chunks, newline_of(self._text), open_end=open_end))]

    def _filled(self, one: _List, wanted: Sequence[Wanted]) -> list[Splice]:
        """Entries for a list that has none so far (``[]``)."""
        if one.entries or self._layout.inside:
            remedy = "write one entry per line in the file, each beginning with '- '"
            raise InputError(f"the list '{self._layout.key}' is written in one line", remedy=remedy)
        newline = newline_of(self._text)
        chunks = [self._chunk(row, one) for row in wanted]
        entries = joined(chunks, newline, open_end=True)
        return [(one.node.start_mark.index, content_end(self._text, one.node), newline + entries)]

    def _chunk(self, row: Wanted, one: _List) -> str:
        if row.origin is None:
            like = one.entries[0] if one.entries else None
            return rendered(row.cells, self._layout.columns, like=like, flow=self._layout.flow, text=self._text)
        source = self._entry(row.origin)
        splices = source.changes(self._changed(row, row.origin))
        moved = [(start - source.begin, end - source.begin, new) for start, end, new in splices]
        return spliced(self._text[source.begin : source.end], moved)

    def _entry(self, place: int) -> Entry:
        return next(
            one.entries[place - one.first] for one in self._lists if 0 <= place - one.first < len(one.entries)
        )

    def _changed(self, row: Wanted, place: int) -> Cells:
        old = self.rows[place].cells
        return {name: row.cells[name] for name in self._layout.columns if row.cells[name] != old[name]}


def _pair(node: yaml.Node, key: str) -> Pair:
    found = key_node(node, key)
    if found is None:
        raise InputError(f"the key '{key}' is missing", remedy="let rules check read the folder first")
    return found
