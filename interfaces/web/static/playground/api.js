// What the page asks the server: with the key that stands in it, and events read as they come.

const KEY = document.querySelector("meta[name=playground-key]").content
export const CONVERSATION = "playground"

export class Lost extends Error {}  // the server is gone, or is not the one that made this page

async function ask(path, options = {}) {
  let response
  try {
    response = await fetch(path, {
      ...options,
      headers: {"X-Playground-Key": KEY, ...options.headers},
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    })
  } catch (error) {
    if (error.name === "AbortError") throw error
    throw new Lost("the server does not answer")
  }
  if (response.status === 401) throw new Lost("the server was restarted")
  return response
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = "", ended = false
  try {
    while (true) {
      const {value, done} = await reader.read()
      if (done) {
        ended = true
        return
      }
      text += value
      const whole = text.split("\n\n")
      text = whole.pop()
      for (const event of whole) {
        const lines = event.split("\n")
        const of = name => lines.filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2))
        if (of("event").length) yield {kind: of("event")[0], data: JSON.parse(of("data").join("\n"))}
      }
    }
  } catch (error) {
    throw new Lost("the connection ended")
  } finally {
    if (!ended) reader.cancel().catch(() => {})
  }
}

export async function* watchScopes() {
  const response = await ask("/playground/scopes", {headers: {Accept: "text/event-stream"}})
  if (!response.ok) throw new Lost("the server shows no scopes")
  yield* events(response)
}

// The steps of one message: accepted, text, tool, and its status at last.
export async function* send(player, text) {
  const response = await ask(`/playground/${player}/messages`, {
    method: "POST",
    headers: {"Content-Type": "application/json", Accept: "text/event-stream"},
    body: JSON.stringify({conversation: CONVERSATION, text}),
  })
  if (!response.ok) throw new Error((await response.json()).detail)
  yield* events(response)
}

async function read(path) {
  const response = await ask(path)
  if (response.status >= 400) throw new Error((await response.json()).detail)
  return response.json()
}

export const latest = player => read(`/playground/${player}/messages?conversation=${CONVERSATION}&limit=30`)
export const status = (player, message) => read(`/playground/${player}/messages/${message}`)
export const accounts = player => read(`/playground/${player}/accounts`)
