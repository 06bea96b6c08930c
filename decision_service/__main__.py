"""What `decision-service` and `python -m decision_service` start: the command, guarded before it takes long to load."""

from __future__ import annotations

from decision_service.interrupts import leave_quietly

leave_quietly()

from decision_service.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
