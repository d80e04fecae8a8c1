// Brings the page to life: two chats, and between them what happens in the server.

import {Lost, watchScopes} from "./api.js"
import {Chat} from "./chat.js"
import {Lane} from "./scopes.js"

const find = id => document.getElementById(id)
const all = selector => [...document.querySelectorAll(selector)]

function lose() {
  find("lost").hidden = false
}

find("reload").addEventListener("click", () => location.reload())

const tell = text => { find("told").textContent = text }
const lanes = new Map(all("[data-lane]").map(section => [section.dataset.lane, new Lane(section, find("shared"), tell)]))
const chats = all("[data-player]").map(section => new Chat(section))

for (const chat of chats) {
  const others = chats.filter(other => other !== chat)
  chat.addEventListener("lost", lose)
  chat.addEventListener("pending", ({detail: code}) => others.forEach(other => other.otherIsAsked(code, chat.name)))
  chat.addEventListener("decided", ({detail: code}) => others.forEach(other => other.otherHasDecided(code)))
}

find("both").addEventListener("click", () => chats.forEach(chat => chat.say("Show my unread mail")))
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const chat of chats) chat.lookAgain().catch(lose)
})

async function watch() {
  for await (const {kind, data} of watchScopes()) {
    if (kind === "watching") document.documentElement.dataset.watching = ""
    else lanes.get(data.who)?.take(kind, data)
  }
  throw new Lost("the server has stopped")
}

watch().catch(lose)
for (const chat of chats) chat.begin().catch(lose)
