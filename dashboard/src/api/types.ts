// The types of the OpenAPI document, which the TypeScript SDK has generated from it.
export type * from "../../../sdks/typescript/src/api/types";
