/** Sends a click, and asks what its visitor will want next. */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
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
const { NEXTCLICK_SERVER_CA_FILE: caFile, NEXTCLICK_TOKEN_FILE: tokenFile } = process.env;
const security = caFile ? credentials.createSsl(readFileSync(caFile)) : credentials.createInsecure();
const events = new EventServiceClient(target, security, channelOptions);
const recommendations = new RecommendationServiceClient(target, security, channelOptions);

const putEvents = promised(events, events.putEvents);
const recommend = promised(recommendations, recommendations.recommend);

const metadata = new Metadata();
if (tokenFile) {
  metadata.set("authorization", `Bearer ${readFileSync(tokenFile, "utf8").trim()}`);
}
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
