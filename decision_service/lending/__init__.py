"""Lending arithmetic: exposure, limits, the working-day clock; pure."""
