"""Made-up loans with every kind of column, whose labels follow from two of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def loans(rows: int = 600, *, seed: int = 5) -> pd.DataFrame:
    """Risk rises with leverage and for one sector; ``status`` is paid or defaulted."""
    random = np.random.default_rng(seed)
    leverage = random.normal(size=rows)
    sector = random.choice(["retail", "mining", "farms"], rows)
    odds = -1.8 + 1.3 * leverage + 0.8 * (sector == "mining")
    bad = random.random(rows) < 1 / (1 + np.exp(-odds))
    start = pd.Timestamp("2015-01-01") + pd.to_timedelta(np.sort(random.integers(0, 2000, rows)), unit="D")
    amount = np.exp(random.normal(10, 1, rows)).round(2)
    income = np.where(random.random(rows) < 0.1, np.nan, np.exp(random.normal(8, 1, rows)).round())
    return pd.DataFrame(
        {
            "loan": [f"L{place:05d}" for place in random.permutation(rows)],
            "approved": start.strftime("%d-%b-%y"),
            " leverage": leverage.round(4),
            "sector": sector,
            "amount": [f"${value:,.2f} " for value in amount],
            "income": income,
            "branch": random.choice([f"B{place:03d}" for place in range(60)], rows),
            "currency": "EUR",
            "status": np.where(bad, "DEFAULTED", "P I F"),
        }
    )


def panel(firms: int = 300, *, seed: int = 6) -> pd.DataFrame:
    """Three to five years of statements a firm; those whose liabilities grow fail after the last."""
    random = np.random.default_rng(seed)
    rows = []
    for firm in range(firms):
        drift, assets = random.normal(), float(np.exp(random.normal(4, 1)))
        failed = int(random.random() < 1 / (1 + np.exp(2 - 2 * drift)))
        for year in range(int(random.integers(3, 6))):
            liabilities = assets * (0.5 + 0.05 * drift * year + 0.02 * random.normal())
            income = assets * (0.05 - 0.02 * drift + 0.03 * random.normal())
            revenue = assets * float(np.exp(random.normal(0, 0.2)))
            rows.append((f"F{firm}", 2005 + year, failed, assets, liabilities, income, revenue))
    names = ["firm", "year", "failed", "Total Assets", "Total_Liabilities", "netIncome", "Revenue (USD)"]
    return pd.DataFrame(rows, columns=names)


def written(frame: pd.DataFrame, folder: Path, name: str = "loans.csv") -> Path:
    """The frame as a CSV file."""
    path = folder / name
    frame.to_csv(path, index=False)
    return path
