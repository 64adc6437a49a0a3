// Work in the background: ask how far it is until it is over.
import type { Transport } from "./transport";
import type { Job } from "./types";

export async function follow<T>(
  transport: Transport,
  job: Job<T>,
  tell: (job: Job<T>) => void,
): Promise<Job<T>> {
  tell(job);
  while (job.state === "running") {
    await new Promise((done) => setTimeout(done, 250));
    job = await transport.ask<Job<T>>("progress", { id: job.id });
    tell(job);
  }
  return job;
}
