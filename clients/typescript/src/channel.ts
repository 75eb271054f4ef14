import type { ChannelOptions } from "@grpc/grpc-js";

/** Each call goes to the next server that can be reached; where one is away, to another. */
const serviceConfig = `{
  "loadBalancingConfig": [{ "round_robin": {} }],
  "methodConfig": [
    {
      "name": [{}],
      "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
      }
    }
  ]
}`;

/** The options of a channel: retries, and servers that come back or die without a word. */
export const channelOptions: ChannelOptions = {
  "grpc.service_config": serviceConfig,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.dns_min_time_between_resolutions_ms": 1_000, // of a name, once a connection has ended
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
};
