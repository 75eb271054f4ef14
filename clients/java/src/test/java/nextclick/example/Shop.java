package nextclick.example;

import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.util.Optional;
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

  public static void main(String[] arguments) {
    String target = arguments.length > 0 ? arguments[0] : "localhost:50051";
    Metadata metadata = new Metadata();
    String token = Optional.ofNullable(System.getenv("NEXTCLICK_TOKEN")).orElse("");
    metadata.put(AUTHORIZATION, "Bearer " + token);
    ManagedChannel channel =
        Channels.to(target)
            .usePlaintext()
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
