import { promisify } from "node:util";
import type {
  CallOptions,
  Client,
  ClientUnaryCall,
  Metadata,
  ServiceError,
} from "@grpc/grpc-js";

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Returns a method of a client as one that promises its response. */
export function promised<Request, Response>(
  client: Client,
  method: Method<Request, Response>,
): (request: Request, metadata: Metadata, options: Partial<CallOptions>) => Promise<Response> {
  return promisify(method.bind(client) as Method<Request, Response>);
}
