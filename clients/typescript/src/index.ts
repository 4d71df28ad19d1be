/** The client of the embedding service, and what works without one. */

export { EmbeddingClient } from "./client.js";
export type {
  CallOptions,
  ClientOptions,
  Embeddings,
  EmbedImagesOptions,
  EmbedTextsOptions,
  Image,
  Item,
  SearchOptions,
  SimilarityOptions,
  Vector,
  VectorOf,
} from "./client.js";
export { ServiceError } from "./errors.js";
export type { RetryOptions } from "./retry.js";
export { findSimilar } from "./vectors.js";
export type { Found } from "./vectors.js";
export type { components, operations, paths } from "./openapi.js";
