"""Text as the other rooms count and cut it: terms, sentences, tokens."""
