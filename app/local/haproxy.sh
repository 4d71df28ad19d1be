#!/bin/sh
# Starts HAProxy for Serve, after it has put right the addresses and answers of the configuration; see haproxy.py.
folder=$(dirname "$0")
{ read -r haproxy; read -r port; read -r address; } < "$folder/settings"

previous=
config=
for argument; do
  if [ "$previous" = -f ]; then config=$argument; fi
  previous=$argument
done

sed -i \
  -e 's/^\( *bind \)\*\{0,1\}:\([0-9][0-9]*\)$/\1127.0.0.1:\2/' \
  -e "/^ *bind 127\\.0\\.0\\.1:$port\$/{
s/127.*/$address/
r $folder/frontend.lines
}" \
  -e '/^ *http-request return status 404 .*lf-string "Path/{
h
s/ 404 / 503 /
s/ lf-string / hdr retry-after 1 lf-string /
s/$/ if { path_beg \/ }/
G
}' \
  -e '/^ *errorfile 50[234] /d' \
  -e '/^ *log 127\.0\.0\.1:514 /d' \
  "$config" || exit 1

listens=$(sed -n 's/^ *bind //p' "$config")
if ! echo "$listens" | grep -Fqx "$address"; then
  refusal="nothing listens at $address"
elif others=$(echo "$listens" | grep -Fvx "$address" | grep -Evx '127\.0\.0\.1:[0-9]+'); then
  refusal="it would listen at $others too"
else
  exec "$haproxy" "$@"
fi
echo "$refusal" > "$folder/refusal"
echo "This is not the configuration that Serve 2.60 writes: $refusal." >&2
exit 1
