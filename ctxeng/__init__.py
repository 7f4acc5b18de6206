"""ctxeng."""
