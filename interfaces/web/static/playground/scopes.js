// The scopes of both people as they open, work and die. Each step stays long enough to be seen.

import {el} from "./dom.js"

const PAUSE = {opened: 350, built: 900, called: 420, closed: 900, freed: 300}  // milliseconds after each step
const LINGER = 5000  // milliseconds that a dead scope can still be read
const PAST = 4
const HURRY = 30  // steps that are behind; from there on nothing waits

const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))
const still = matchMedia("(prefers-reduced-motion: reduce)")

export class Lane {
  constructor(section, shared, tell) {
    this.name = section.dataset.name
    this.player = section.dataset.lane
    this.scopes = section.querySelector("[data-scopes]")
    this.nothing = section.querySelector("[data-nothing]")
    this.past = section.querySelector("[data-past]")
    this.shared = shared
    this.tell = tell
    this.cards = new Map()
    this.steps = []
    this.isShowing = false
  }

  get isActing() {
    return [...this.cards.values()].some(card => card.count > 0)
  }

  // Takes a step, and shows it when its turn comes.
  async take(kind, data) {
    this.steps.push([kind, data])
    if (this.isShowing) return
    this.isShowing = true
    while (this.steps.length) {
      const [kind, data] = this.steps.shift()
      this[kind]?.(data)
      const hurries = document.hidden || this.steps.length > HURRY
      if (!hurries) await wait(this.steps[0]?.[0] === kind && kind === "called" ? PAUSE[kind] / 3 : PAUSE[kind])
    }
    this.isShowing = false
  }

  opened({scope, message, principal}) {
    const card = {
      began: el("span", {class: "time"}, "open"),
      objects: el("ul", {class: "objects", "aria-label": "Objects of this scope"}),
      calls: el("ul", {class: "calls", "aria-label": "Calls in this person’s name"}),
      end: el("p", {class: "end"}),
      message, count: 0, keys: new Set(),
    }
    card.root = el("article", {class: "scope", "data-scope": scope, "data-state": "open", "aria-label": `Scope ${scope} of ${this.name}`},
      el("header", {}, el("strong", {}, `Scope ${scope}`), card.began),
      el("p", {class: "for"}, message ? el("span", {}, "message ", el("code", {}, message)) : "a request", " of ", el("code", {}, principal)),
      card.objects, card.calls, card.end)
    this.cards.set(scope, card)
    this.scopes.prepend(card.root)
    this.nothing.hidden = true
  }

  built({scope, fresh, shared}) {
    const card = this.cards.get(scope)
    if (!card) return
    for (const {name, type, number, about} of fresh) {
      const chip = el("li", {title: `${type}: ${about}`}, name, el("span", {class: "number"}, `#${number}`))
      chip.style.animationDelay = still.matches ? "0s" : `${card.objects.children.length * 90}ms`
      card.objects.append(chip)
    }
    for (const {name, number} of shared) this.touch(name, number)
  }

  // A shared object is used: it is the same one, with the same number, for both.
  touch(name, number) {
    const chip = this.shared.querySelector(`[data-shared="${CSS.escape(name)}"]`)
    if (!chip) return
    chip.querySelector("[data-number]").textContent = `#${number}`
    const used = `used-${this.player}`
    chip.classList.add(used)
    setTimeout(() => chip.classList.remove(used), 1600)
  }

  called({message, method, status, credential, refused, tool}) {
    const card = [...this.cards.values()].reverse().find(each => each.message === message)
    if (!card) return
    card.count++
    if (credential) card.keys.add(credential)
    const last = card.calls.lastElementChild
    const what = `${method} ${status} ${credential} ${refused}`
    if (last?.dataset.what === what) {
      last.querySelector(".times").textContent = ` × ${++last.times}`
      return
    }
    const answer = refused ? "refused" : status ?? "no answer"
    const row = el("li", {"data-what": what, title: tool ? `by the tool ${tool}` : ""},
      el("span", {class: "method"}, method, el("span", {class: "times"})),
      el("span", {class: refused || status >= 400 ? "answer bad" : "answer"}, String(answer)),
      ...(credential ? [el("code", {class: "key", "data-credential": credential, title: `with credential ${credential}`}, credential)] : []))
    row.times = 1
    card.calls.append(row)
  }

  closed({scope, seconds, dead, total}) {
    const card = this.cards.get(scope)
    if (!card) return
    card.root.dataset.state = "closed"
    card.lived = `${Math.max(1, Math.round(seconds * 1000))} ms`
    card.began.textContent = `lived ${card.lived}`
    card.dead = dead === total ? `all ${total} objects dead` : `${dead} of ${total} objects dead`
    card.end.textContent = `Closed: ${card.dead}`
    this.tell(`Scope ${scope} of ${this.name} closed after ${card.lived}: ${card.dead}.`)
    setTimeout(() => this.bury(scope), LINGER)
  }

  freed({scope}) {
    const card = this.cards.get(scope)
    if (card) card.end.textContent += ", memory freed"
  }

  bury(scope) {
    const card = this.cards.get(scope)
    this.cards.delete(scope)
    card.root.remove()
    const keys = [...card.keys].map(key => el("code", {class: "key"}, key))
    const calls = card.count ? [`${card.count} ${card.count === 1 ? "call" : "calls"} with `, ...keys] : ["no call to a provider"]
    this.past.prepend(el("li", {}, el("strong", {}, `Scope ${scope}`), ` ${card.lived} · `, ...calls))
    while (this.past.children.length > PAST) this.past.lastElementChild.remove()
    this.nothing.hidden = this.cards.size > 0
  }
}
