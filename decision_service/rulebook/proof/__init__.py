"""The rules as formulas for Z3: what holds for all inputs at once, and an input for what does not."""
