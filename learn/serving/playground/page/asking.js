// Questions to the service.

import { keyHeaders, wantKey } from "./key.js";

const TIMEOUT_MILLISECONDS = 20_000;

// Something the service refused, or no answer at all; both texts are for the person.
export class AskError extends Error {
  constructor(title, message) {
    super(message);
    this.title = title;
  }
}

// A line of questions of one kind: a newer one makes the answer to the older one unwanted.
export class Line {
  #controller = null;

  // Resolves to { answer, milliseconds, service }, or to null where a newer question overtook this one.
  async ask(route, body) {
    this.cancel();
    const controller = (this.#controller = new AbortController());
    try {
      const found = await ask(route, body, controller.signal);
      return controller.signal.aborted ? null : found;
    } catch (error) {
      if (controller.signal.aborted) return null;
      throw error;
    }
  }

  cancel() {
    this.#controller?.abort();
  }
}

async function ask(route, body, signal) {
  const started = performance.now();
  let reply;
  let read;
  try {
    reply = await fetch(route, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...keyHeaders() },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]),
      cache: "no-store",
    });
    read = await reply.text();
  } catch (error) {
    if (error.name === "TimeoutError") {
      throw new AskError("No answer.", `The service took longer than ${TIMEOUT_MILLISECONDS / 1000} seconds.`);
    }
    throw new AskError("No answer.", "The service cannot be reached.");
  }
  const milliseconds = performance.now() - started;
  const answer = parsed(read);
  if (reply.status === 401) wantKey();
  if (!reply.ok || answer === null) throw refusal(reply.status, answer);
  return { answer, milliseconds, service: serviceMilliseconds(reply) };
}

function parsed(read) {
  try {
    return JSON.parse(read);
  } catch {
    return null;
  }
}

function refusal(status, answer) {
  const details = Array.isArray(answer?.detail) ? answer.detail : [];
  const said = details.map((each) => [each.loc?.join("."), each.msg].filter(Boolean).join(": ")).join("; ");
  if (status === 503 || status === 429) return new AskError("The service is busy.", said || "Try again in a moment.");
  if (status >= 500) return new AskError("The service failed.", `It answered with status ${status}.`);
  return new AskError("Refused.", said || answer?.error || `The service answered with status ${status}.`);
}

function serviceMilliseconds(reply) {
  const found = /\bdur=([\d.]+)/.exec(reply.headers.get("Server-Timing") ?? "");
  return found ? Number(found[1]) : null;
}

export function shownMilliseconds(milliseconds) {
  if (milliseconds === null) return "–";
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}
