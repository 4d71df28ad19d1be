# Before a pod ends: if its Redis is primary, another becomes it now, and not 5 s after this one is missed.
export REDISCLI_AUTH="$REDIS_PASSWORD"
if redis-cli -p "$PORT" role | head -n 1 | grep -q master; then
  redis-cli -h "$SENTINELS" -p "$SENTINEL_PORT" sentinel failover gcs
  sleep 10
fi
