#!/bin/bash
# What the old script did for each notification, written anew: one notification a line on standard input; the
# session key out of the item by openssl, the text out of it, its user looked up in a file, and the bridge asked
# for the status and told the new one. Arguments: private key, file of users (id;extension), address of the bridge.
set -u
key=$1 users=$2 bridge=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
done=0
while IFS= read -r line; do
    stamp=$(date +%s)
    printf '%s' "$line" | jq -r '.value[0].encryptedContent.dataKey' | base64 -d > "$tmp/key.sealed"
    printf '%s' "$line" | jq -r '.value[0].encryptedContent.data' | base64 -d > "$tmp/data"
    openssl pkeyutl -decrypt -inkey "$key" -pkeyopt rsa_padding_mode:oaep -in "$tmp/key.sealed" -out "$tmp/key"
    hex=$(hexdump -ve '1/1 "%02x"' "$tmp/key")
    iv=$(hexdump -n 16 -ve '1/1 "%02x"' "$tmp/key")
    text=$(openssl enc -d -aes-256-cbc -K "$hex" -iv "$iv" -in "$tmp/data")
    user=$(printf '%s' "$text" | jq -r .id)
    shown=$(printf '%s' "$text" | jq -r .availability)
    extension=$(grep -F "$user" "$users" | cut -d ';' -f 2)
    status=$(curl -s "$bridge/showstatus/$extension")
    case $shown-$status in
        Busy-*Available) curl -s "$bridge/setstatus/$extension/away" > /dev/null ;;
        Available-*Away) curl -s "$bridge/setstatus/$extension/avail" > /dev/null ;;
        *) echo "$stamp: $shown, $status: nothing to do" >&2 ;;
    esac
    done=$((done + 1))
done
echo "$done"
