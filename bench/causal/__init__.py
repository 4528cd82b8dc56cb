"""The causal suite: what a model's output does when attention matrices take the place of its attention."""
