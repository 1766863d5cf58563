//! vLLM extensions of the HTTP API: tokenize, detokenize, version.
