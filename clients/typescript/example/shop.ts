/** Sends a click, and asks what its visitor will want next. */

import { randomUUID } from "node:crypto";
import { credentials, Metadata } from "@grpc/grpc-js";
import {
  channelOptions,
  EventServiceClient,
  promised,
  PutEventsRequest,
  RecommendationServiceClient,
  RecommendRequest,
} from "nextclick-client";

const target = process.argv[2] ?? "localhost:50051";
const plain = credentials.createInsecure();
const events = new EventServiceClient(target, plain, channelOptions);
const recommendations = new RecommendationServiceClient(target, plain, channelOptions);

const putEvents = promised(events, events.putEvents);
const recommend = promised(recommendations, recommendations.recommend);

const metadata = new Metadata();
metadata.set("authorization", `Bearer ${process.env.NEXTCLICK_TOKEN ?? ""}`);
const inTime = () => ({ deadline: Date.now() + 10_000 });

const click = {
  eventId: randomUUID(), // a retry with the same id counts once
  type: "view",
  sessionId: "s1",
  itemId: "17116",
  timestampMs: Date.now(),
};
const put = await putEvents(PutEventsRequest.create({ events: [click] }), metadata, inTime());
console.log("accepted", put.accepted);

const request = RecommendRequest.create({
  sessionId: "s1",
  sessionItems: ["17116"], // the click may still be on its way
  pageSize: 3,
});
const answer = await recommend(request, metadata, inTime());
console.log("next", ...answer.items.map((item) => item.itemId));

events.close();
recommendations.close();
