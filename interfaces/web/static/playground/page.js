// Brings the page to life: two chats, and between them what happens in the server.

import {Lost, watchScopes} from "./api.js"
import {Chat, QUESTION} from "./chat.js"
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

const connected = new Set()
function done(step) {
  const item = document.querySelector(`[data-step=${step}]`)
  if (item.classList.contains("done")) return
  item.classList.add("done")
}

for (const chat of chats) {
  chat.addEventListener("asked", () => done("ask"))
  chat.addEventListener("tried", () => done("approve"))
  chat.addEventListener("connected-further", () => done("github"))
  chat.addEventListener("connected", () => {
    connected.add(chat)
    if (connected.size === chats.length) done("connect")
  })
}

find("both").addEventListener("click", () => chats.forEach(chat => chat.say(QUESTION)))
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const chat of chats) chat.catchUp().catch(lose)
})

async function watch() {
  for await (const {kind, data} of watchScopes()) {
    if (kind === "watching") document.documentElement.dataset.watching = ""
    else lanes.get(data.who)?.take(kind, data)
    if (kind === "closed") chats.find(chat => chat.player === data.who).catchUp().catch(lose)
    if (kind === "called" && [...lanes.values()].every(lane => lane.isActing)) done("watch")
  }
  throw new Lost("the server has stopped")
}

watch().catch(lose)
for (const chat of chats) chat.begin().catch(lose)
