package nextclick;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannelBuilder;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** How to connect to servers; the stubs of their API, made from the protos, are in nextclick.v1. */
public final class Channels {
  /** Each call goes to the next server that can be reached; where one is away, to another. */
  private static final String SERVICE_CONFIG =
      """
      {
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
      }
      """;

  private Channels() {}

  /**
   * Returns the builder of a channel that tries calls again, and notices servers that die without a
   * word.
   */
  public static ManagedChannelBuilder<?> to(String target, ChannelCredentials credentials) {
    Map<String, ?> config = new Gson().fromJson(SERVICE_CONFIG, new TypeToken<Map<String, ?>>() {});
    return Grpc.newChannelBuilder(target, credentials)
        .defaultServiceConfig(config)
        .keepAliveTime(10, TimeUnit.SECONDS)
        .keepAliveTimeout(5, TimeUnit.SECONDS);
  }
}
