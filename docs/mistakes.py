"""Typical mistakes and what the product says to each: `tests/unit/docs/test_mistakes.py` makes every one of them."""

from typing import Final

# By kind: what was written, and the message.
MISTAKES: Final[dict[str, dict[str, str]]] = {
    "The service's own routes": {
        'POST /embed/text {"text": ["a"]}': "`texts` is missing: rename `text`.",
        'POST /embed/text {"texts": "a"}': '`texts` must be a list: send ["a"] instead of a bare string.',
        'POST /embed/text {"texts": []}': "`texts` must not be empty.",
        'POST /embed/text {"texts": ["a", 5]}': "`texts.1` must be a string, not a number.",
        'POST /embed/text {"texts": ["a"], "modle": "x"}': "`modle` is not a field of this request. Known fields: inputType, model, normalize, outputType, promptName, texts. Did you mean `model`?",
        'POST /embed/text {"texts": ["a"], "output_typ": "int8"}': "`output_typ` is not a field of this request. Known fields: inputType, model, normalize, outputType, promptName, texts. Did you mean `outputType`?",
        'POST /embed/text {"texts": ["a"], "model": "all-minilm-l6-v3"}': "No text model named 'all-minilm-l6-v3' is served here. Served: sentence-transformers/all-MiniLM-L6-v2. Did you mean `sentence-transformers/all-MiniLM-L6-v2`?",
        'POST /embed/text {"texts": ["a"], "promptName": "qeury"}': "sentence-transformers/all-MiniLM-L6-v2 has no prompt 'qeury'. Known prompts: none.",
        "POST /embed/text {texts: []}": "The body is not valid JSON: key must be a string at line 1 column 2.",
        'POST /embed/image {"image": ["data:,"]}': "`images` is missing: rename `image`.",
        'POST /search {"query": {"text": "a"}, "candidates": [], "topk": 3}': "`topk` is not a field of this request. Known fields: candidates, metric, model, promptName, query, rerank, rerankTop, returnCandidates, space, threshold, topK. Did you mean `topK`?",
        'POST /search {"query": "a", "candidates": []}': "`query` must be an object with one of `text`, `image` and `vector`.",
        'POST /similarity {"query": [1], "candidates": [[1]], "top_n": 3}': "`top_n` is not a field of this request. Known fields: candidateSpace, candidates, metric, query, querySpace, threshold, topK. Did you mean `topK`?",
        'POST /embed/texts {"texts": ["a"]}': "There is no route /embed/texts. Routes: /embed/text, /embed/image, /embed/batch, /similarity, /search, /embed/chunks, /v1/contextualizedembeddings, /rerank, /elastic/rerank, /v1/rerank, /v2/rerank, /v1/ranking, /score, /predict, /classify, /embed_sparse, /embed_all, /v1/embeddings, /embeddings, /v1/embed, /v2/embed, /api/embed, /api/embeddings, /api/tags, /api/show, /v1/multimodalembeddings, /vectors, /vectorize, /meta, /v1/models, /models, /v1/models/{model}, /embed, /, /info, /tokenize, /decode, /cache/stats, /cache/clear, /cache/warm, /health, /livez, /v1/health/live, /.well-known/live, /readyz, /v1/health/ready, /.well-known/ready, /openapi.json, /docs, /static/{file}, /metrics. Did you mean `/embed/text`?",
        "GET /embed/text": "/embed/text allows POST, not GET.",
    },
    "OpenAI's and TEI's routes": {
        'POST /v1/embeddings {"inputs": ["a"]}': "`input` is missing: rename `inputs`.",
        'POST /v1/embeddings {"input": "a", "model": "text-embedding-3-small"}': "No text model named 'text-embedding-3-small' is served here. Served: sentence-transformers/all-MiniLM-L6-v2. MODEL_ALIASES can give one of them this name.",
        'POST /v1/embeddings {"input": "a", "encoding_fromat": "base64"}': "`encoding_fromat` is not supported and might change the response. Known fields: dimensions, embedding_type, encoding_format, input, input_type, late_chunking, modality, model, normalized, output_dimension, output_dtype, prompt_name, task, truncate, truncate_prompt_tokens, truncation, user. Did you mean `encoding_format`?",
        'POST /v1/embedding {"input": "a"}': "There is no route /v1/embedding. Routes: /embed/text, /embed/image, /embed/batch, /similarity, /search, /embed/chunks, /v1/contextualizedembeddings, /rerank, /elastic/rerank, /v1/rerank, /v2/rerank, /v1/ranking, /score, /predict, /classify, /embed_sparse, /embed_all, /v1/embeddings, /embeddings, /v1/embed, /v2/embed, /api/embed, /api/embeddings, /api/tags, /api/show, /v1/multimodalembeddings, /vectors, /vectorize, /meta, /v1/models, /models, /v1/models/{model}, /embed, /, /info, /tokenize, /decode, /cache/stats, /cache/clear, /cache/warm, /health, /livez, /v1/health/live, /.well-known/live, /readyz, /v1/health/ready, /.well-known/ready, /openapi.json, /docs, /static/{file}, /metrics. Did you mean `/v1/embeddings`?",
        'POST /embed {"input": "a"}': "`inputs` is missing: rename `input`.",
        'POST /embed {"inputs": "a", "truncat": false}': "`truncat` is not supported and might change the response. Known fields: dimensions, inputs, model, normalize, options, parameters, prompt_name, truncate, truncation_direction. Did you mean `truncate`?",
        "GET /v1/models/all-minilm-l6-v3": "The model 'all-minilm-l6-v3' is not served here. Served: sentence-transformers/all-MiniLM-L6-v2, openai/clip-vit-base-patch32. Did you mean `sentence-transformers/all-MiniLM-L6-v2`?",
    },
    "Keys": {
        "no header": "Send an API key, as `Authorization: Bearer KEY` or `x-api-key: KEY`.",
        "Authorization: emb_secret": "The `Authorization` header lacks `Bearer` before the key: send `Authorization: Bearer KEY`.",
        "Authorization: Token emb_secret": "The `Authorization` header lacks `Bearer` before the key: send `Authorization: Bearer KEY`.",
        "Authorization: Bearer emb_secret": "This API key is unknown.",
    },
    "Variables": {
        "CACHE_TTL=1h": "CACHE_TTL must be a whole number, not '1h'",
        "BATCH_SIZE=0": "BATCH_SIZE must be greater than 0, not '0'",
        "PORT=70000": "PORT must be less than or equal to 65535, not '70000'",
        "LOG_FORMAT=xml": "LOG_FORMAT must be 'text' or 'json', not 'xml'",
        "MODEL_ALIASES=text-embedding-3-small": "MODEL_ALIASES: 'text-embedding-3-small' names no model; write NAME=MODEL.",
        "MODEL_ALIASES=small=all-minilm-l6-v3": "MODEL_ALIASES: 'small' stands for 'all-minilm-l6-v3', which is not served. Served: sentence-transformers/all-MiniLM-L6-v2, openai/clip-vit-base-patch32. Did you mean `sentence-transformers/all-MiniLM-L6-v2`?",
        "TEXT_MODEL=all-MiniLM-L6-v2,all-MiniLM-L6-v2": "two models have the same name: sentence-transformers/all-MiniLM-L6-v2, sentence-transformers/all-MiniLM-L6-v2, openai/clip-vit-base-patch32",
    },
    "`.env`": {
        "TEXT_MODL=all-mpnet-base-v2": ".env: TEXT_MODL is not a setting and has no effect. Did you mean `TEXT_MODEL`?",
        "CACHE_TTL_MS=5": ".env: CACHE_TTL_MS is not a setting and has no effect. Did you mean `CACHE_TTL`?",
    },
    "`serve_config.yaml`": {
        "cache: {ttl: 5}": "serve_config.yaml, line 4: `cache.ttl` is not a setting. Did you mean `ttl_ms`?",
        "text_model: all-mpnet-base-v2": "serve_config.yaml, line 4: `text_model` is not a setting. Did you mean `text_models`?",
        "CACHE_TTL: 5": "serve_config.yaml, line 4: `CACHE_TTL` is not a setting. Here it is `cache.ttl_ms`.",
        "encoder: {backend: onnx}": "serve_config.yaml, line 4: `encoder.backend` must be 'auto', 'openvino', 'torch' or 'static', not 'onnx'",
        "cache: [": "serve_config.yaml is not valid YAML: expected the node content, but found '<stream end>' in line 5",
    },
    "The command line": {
        "serv": "argument serve | dev | logs | pull | inspect | key | embed | embed-corpus | search: invalid choice: 'serv'. Did you mean `serve`?",
        "serve --port 4000": "python -m app serve: error: unrecognized arguments: --port 4000. Set the variable PORT instead.",
        "search a notes.txt --topk 3": "python -m app search: error: unrecognized arguments: --topk 3. Did you mean `--top-k`?",
        "embed none.txt --out v.npy": "none.txt: not found.",
        "search a none.npy": "none.npy: not found.",
        "--config none.yaml serve": "none.yaml: not found",
    },
}
