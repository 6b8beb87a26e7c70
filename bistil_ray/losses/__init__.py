"""What is minimised: pure functions on tensors, each checked against a plain float64 version of itself."""
