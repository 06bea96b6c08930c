"""The risk team's workbench over versions of the rulebook: prove, lint, compare, backtest, release, shadow."""
