"""A city's financing credit platform: rules and models combined into auditable decisions."""

__version__ = "0.1.0"
