"""The rule language: facts, conditions, rules in stages, dated parameters, and the engines that evaluate them."""
