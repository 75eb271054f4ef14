/** The client of nextclick for Node.js: stubs made from the protos, and how to connect them. */

export * from "./nextclick/v1/catalog_service.js";
export * from "./nextclick/v1/event_service.js";
export * from "./nextclick/v1/feature_service.js";
export * from "./nextclick/v1/model_service.js";
export * from "./nextclick/v1/profile.js";
export * from "./nextclick/v1/recommendation_service.js";
export * from "./nextclick/v1/session.js";
export * from "./nextclick/v1/user_service.js";
export { channelOptions } from "./channel.js";
export { promised } from "./promised.js";
