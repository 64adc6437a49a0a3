// Where answers come from: the local server, a notebook's kernel, or the page itself.
import type { Saved } from "./types";

export interface Transport {
  // nothing can be asked that is not in the page already
  readonly fixed: boolean;
  ask<T>(name: string, body?: unknown): Promise<T>;
  upload: ((file: Blob) => Promise<{ image: string }>) | null;
}

export class Http implements Transport {
  readonly fixed = false;
  constructor(private token: string) {}

  async ask<T>(name: string, body: unknown = {}): Promise<T> {
    return this.send(`api/${name}`, JSON.stringify(body), "application/json");
  }

  upload = (file: Blob): Promise<{ image: string }> =>
    this.send("api/upload", file, "application/octet-stream");

  private async send<T>(path: string, body: BodyInit, type: string): Promise<T> {
    let reply: Response;
    try {
      const headers = { "X-Kedge-Token": this.token, "Content-Type": type };
      reply = await fetch(path, { method: "POST", headers, body });
    } catch {
      throw new Error("the server does not answer: is kedge live still running?");
    }
    const found = await reply.json();
    if (!reply.ok) throw new Error(found.error ?? `the server says ${reply.status}`);
    return found as T;
  }
}

export class Embedded implements Transport {
  readonly fixed = true;
  readonly upload = null;
  constructor(private saved: Saved) {}

  async ask<T>(name: string): Promise<T> {
    const known: Record<string, unknown> = {
      open: this.saved.open,
      image: this.saved.image,
      answer: this.saved.answer,
    };
    if (!(name in known)) throw new Error("this is a saved page: it holds one answer");
    return known[name] as T;
  }
}

export interface WidgetModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(message: unknown): void;
  on(event: string, handler: (...given: any[]) => void): void;
  off(event: string, handler: (...given: any[]) => void): void;
}

export class Widget implements Transport {
  readonly fixed = false;
  readonly upload = null;
  private waiting = new Map<string, [(value: any) => void, (error: Error) => void]>();
  // two views of one model share its messages
  private mark = Math.random().toString(36).slice(2);
  private last = 0;
  private heard = (message: any) => {
    const pair = this.waiting.get(message?.id);
    if (!pair) return;
    this.waiting.delete(message.id);
    if (message.error !== undefined) pair[1](new Error(message.error));
    else pair[0](message.answer);
  };

  constructor(private model: WidgetModel) {
    model.on("msg:custom", this.heard);
  }

  ask<T>(name: string, body: unknown = {}): Promise<T> {
    const id = `${this.mark}-${++this.last}`;
    return new Promise((fine, wrong) => {
      this.waiting.set(id, [fine, wrong]);
      this.model.send({ id, name, body });
    });
  }

  close() {
    this.model.off("msg:custom", this.heard);
  }
}
