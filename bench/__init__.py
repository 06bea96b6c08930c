"""Side-by-side measurements: engines beside GoRules ZEN, whole decisions beside a model server."""
