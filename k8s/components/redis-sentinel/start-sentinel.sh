# A Sentinel keeps what it knows in its own configuration, on the volume: after a restart of all three they still know
# who is primary. Only its very first one is written here.
set -eu
umask 077
if [ ! -s "$DATA/sentinel.conf" ]; then
  # The name has to be known before a Sentinel starts.
  until redis-cli -h "$FIRST.$DOMAIN" -p "$PORT" ping > /dev/null 2>&1; do sleep 1; done
  {
    echo "port $SENTINEL_PORT"
    echo "dir $DATA"
    echo "requirepass $REDIS_PASSWORD"
    # Addresses of pods change, names do not.
    echo "sentinel resolve-hostnames yes"
    echo "sentinel announce-hostnames yes"
    echo "sentinel announce-ip $HOSTNAME.$DOMAIN"
    echo "sentinel announce-port $SENTINEL_PORT"
    echo "sentinel monitor gcs $FIRST.$DOMAIN $PORT 2"
    echo "sentinel auth-pass gcs $REDIS_PASSWORD"
    echo "sentinel down-after-milliseconds gcs 5000"
    echo "sentinel failover-timeout gcs 30000"
  } > "$DATA/sentinel.conf.new"
  mv "$DATA/sentinel.conf.new" "$DATA/sentinel.conf"
fi
exec redis-sentinel "$DATA/sentinel.conf"
