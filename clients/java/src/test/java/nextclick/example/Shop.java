package nextclick.example;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import nextclick.Channels;
import nextclick.v1.Event;
import nextclick.v1.EventServiceGrpc;
import nextclick.v1.PutEventsRequest;
import nextclick.v1.RecommendRequest;
import nextclick.v1.RecommendationServiceGrpc;
import nextclick.v1.ScoredItem;

/** Sends a click, and asks what its visitor will want next. */
public final class Shop {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  public static void main(String[] arguments) throws IOException {
    String target = arguments.length > 0 ? arguments[0] : "localhost:50051";
    ChannelCredentials credentials = InsecureChannelCredentials.create();
    String authority = System.getenv("NEXTCLICK_SERVER_CA_FILE");
    if (authority != null) {
      credentials = TlsChannelCredentials.newBuilder().trustManager(new File(authority)).build();
    }
    Metadata metadata = new Metadata();
    String tokenFile = System.getenv("NEXTCLICK_TOKEN_FILE");
    if (tokenFile != null) {
      metadata.put(AUTHORIZATION, "Bearer " + Files.readString(Path.of(tokenFile)).strip());
    }
    ManagedChannel channel =
        Channels.to(target, credentials)
            .intercept(MetadataUtils.newAttachHeadersInterceptor(metadata))
            .build();
    var events = EventServiceGrpc.newBlockingStub(channel);
    var recommendations = RecommendationServiceGrpc.newBlockingStub(channel);

    var click =
        Event.newBuilder()
            .setEventId(UUID.randomUUID().toString()) // a retry with the same id counts once
            .setType("view")
            .setSessionId("s1")
            .setItemId("17116")
            .setTimestampMs(System.currentTimeMillis());
    var put =
        events
            .withDeadlineAfter(10, TimeUnit.SECONDS)
            .putEvents(PutEventsRequest.newBuilder().addEvents(click).build());
    System.out.println("accepted " + put.getAccepted());

    var request =
        RecommendRequest.newBuilder()
            .setSessionId("s1")
            .addSessionItems("17116") // the click may still be on its way
            .setPageSize(3);
    var answer =
        recommendations.withDeadlineAfter(10, TimeUnit.SECONDS).recommend(request.build());
    System.out.print("next");
    for (ScoredItem item : answer.getItemsList()) {
      System.out.print(" " + item.getItemId());
    }
    System.out.println();
    channel.shutdown();
  }
}
