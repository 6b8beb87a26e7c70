"""What leaves the project: models as folders for the hub or as ONNX files, their cards, and how they compare."""
