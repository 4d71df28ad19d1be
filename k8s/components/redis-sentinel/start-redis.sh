# Who is primary: the Sentinels say; if none answers, what the one here wrote down; at the very first start, the first.
# The password goes through a file in memory: a command line shows in every list of processes.
set -eu
umask 077
host="$HOSTNAME.$DOMAIN"
export REDISCLI_AUTH="$REDIS_PASSWORD"
primary=$(timeout 5 redis-cli -h "$SENTINELS" -p "$SENTINEL_PORT" sentinel get-master-addr-by-name gcs 2>/dev/null | head -n 1 || true)
case "$primary" in
  "" | *' '*) primary=$(sed -n 's/^sentinel monitor gcs \([^ ]*\) .*/\1/p' "$DATA/sentinel.conf" 2>/dev/null || true) ;;
esac
primary="${primary:-$FIRST.$DOMAIN}"
{
  echo "port $PORT"
  echo "dir $DATA"
  echo "requirepass $REDIS_PASSWORD"
  echo "masterauth $REDIS_PASSWORD"
  echo "appendonly yes"
  echo "appendfsync everysec"
  echo "replica-announce-ip $host"
  # A primary that is cut off from both others takes nothing more that they would not know of.
  echo "min-replicas-to-write 1"
  echo "min-replicas-max-lag 10"
  if [ "$primary" != "$host" ]; then echo "replicaof $primary $PORT"; fi
} > "$RUN/redis.conf"
exec redis-server "$RUN/redis.conf"
