"""``python -m ml``: the data scientist's commands."""

from __future__ import annotations

import click

from ml.city_commands import city, train_city_command
from ml.cumcm_commands import cumcm


@click.group()
def main() -> None:
    """Synthetic city, training, evaluation and registration of models.

    \b
    Example:
      python -m ml city --out var/demo/feeds
    """


main.add_command(city)
main.add_command(train_city_command)
main.add_command(cumcm)

if __name__ == "__main__":
    main(prog_name="python -m ml")
