"""Contract suites for plugin authors: the laws of each Protocol, one function each.

Install ``ctxeng[testing]``, then run the laws over your implementation; this is all it takes:

    import pytest
    from ctxeng.testing.chunkers import CHUNKER_LAWS

    @pytest.mark.parametrize("law", CHUNKER_LAWS, ids=lambda law: law.__name__)
    def test_my_chunker(law):
        law(MyChunker())

``chunkers``, ``contextualizers``, ``distillers``, ``embedders``, ``generators``, ``loaders``,
``rewriters``, ``routers``, ``token_counters`` and ``verifiers`` take an implementation;
``compressors`` take one and the counter of its tokens; ``archives``, ``stores``,
``lexical_indexes``, ``dense_indexes`` and ``retrievers`` take a function that makes a fresh one.
``strategies`` holds the hypothesis strategies that they draw from.
"""
