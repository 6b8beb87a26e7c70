"""Telling experiment trackers of finished steps: TensorBoard, MLflow, Weights & Biases."""
