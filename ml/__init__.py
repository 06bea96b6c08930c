"""Training side: data loaders, features, training, calibration, evaluation, registration."""
