import { execFileSync } from "node:child_process";

/** A PostgreSQL database of its own, on the server that `cargo xtask` names. */
export class Database {
  readonly #server: string;
  readonly #name = `dashboard_${process.pid}`;

  constructor() {
    const server = process.env.EVERLOOP_TEST_POSTGRES_URL;
    if (!server) {
      throw new Error(
        "EVERLOOP_TEST_POSTGRES_URL names no server: run the tests with `cargo xtask test ui`, " +
          "or these with `cargo xtask postgres -- npm run e2e`",
      );
    }
    this.#server = server;
    this.#run(`CREATE DATABASE ${this.#name}`);
  }

  get url(): string {
    return this.#server.replace(/[^/]*$/, this.#name);
  }

  /** Ends its connections and takes no new ones, as a database does that is stopped. */
  stop(): void {
    this.#run(`ALTER DATABASE ${this.#name} ALLOW_CONNECTIONS false`);
    this.#run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${this.#name}'`);
  }

  start(): void {
    this.#run(`ALTER DATABASE ${this.#name} ALLOW_CONNECTIONS true`);
  }

  drop(): void {
    this.#run(`DROP DATABASE ${this.#name} WITH (FORCE)`);
  }

  #run(sql: string): void {
    execFileSync("psql", ["-qXd", this.#server, "-v", "ON_ERROR_STOP=1", "-c", sql], { stdio: "pipe" });
  }
}
