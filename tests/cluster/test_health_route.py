"""`/health`, `/livez` and `/readyz` of a running service."""

import httpx


def test_health_names_models_and_cache(client: httpx.Client) -> None:
    answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["reasons"]) == (200, "healthy", [])
    assert body["models"] == {"text": "sentence-transformers/all-MiniLM-L6-v2", "image": None}
    assert set(body["cache"]) == {"size", "maxSize", "hitRate", "available"}
    [model] = body["details"]
    assert (model["status"], model["dimensions"], model["maxTokens"]) == ("ready", 384, 256)
    assert body["uptime"] > 0


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
