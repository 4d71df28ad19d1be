"""`/health`, `/livez` and `/readyz` of a running service."""

import httpx

from loadtests.running import wait_for


def test_health_names_models_and_cache(client: httpx.Client) -> None:
    # A busy machine may lose sight of the cache for a moment.
    answer = wait_for(lambda: (told := client.get("/health")).json()["cache"]["available"] and told)
    body = answer.json()
    # The default image model's weights are not available where there is no hub: shapes-clip stands in, and is named.
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert ["shapes-clip" in reason for reason in body["reasons"]] == [True]
    assert body["models"] == {
        "text": "sentence-transformers/all-MiniLM-L6-v2",
        "image": "openai/clip-vit-base-patch32",
    }
    assert set(body["cache"]) == {"size", "maxSize", "hitRate", "available"}
    model, image = body["details"]
    assert (image["kind"], image["status"]) == ("image", "ready")
    assert (model["status"], model["dimensions"], model["maxTokens"]) == ("ready", 384, 256)
    assert body["uptime"] > 0


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
