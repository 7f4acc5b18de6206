"""Contract suites for plugin authors: the laws of each Protocol, one function each."""
