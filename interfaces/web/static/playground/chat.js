// One person's chat. Buttons write words that can be typed as well, and each is used once.

import {accounts, latest, Lost, send, status} from "./api.js"
import {el, markdown} from "./dom.js"

const LOOK_MILLISECONDS = 1500  // a request that waits would hold one of the six connections that a browser opens
const ENDED = new Set(["done", "failed"])
export const QUESTION = "Show my 4 latest mails"
const ACCOUNTS = document.querySelector("[data-github]") ? ["Which issues are assigned to me?", "connections"] : []
const IDEAS = {
  ada: [QUESTION, "Send mail to grace@sandbox.example about Tea: Are you free at four?", "Read mail 1", ...ACCOUNTS],
  grace: [QUESTION, "Send mail to ada@sandbox.example about Compiler: It runs. Come and see!", "Read mail 1", ...ACCOUNTS],
}

export class Chat extends EventTarget {
  constructor(section) {
    super()
    this.player = section.dataset.player
    this.name = section.dataset.name
    const part = name => section.querySelector(`[data-${name}]`)
    this.log = part("log")
    this.hello = part("hello")
    this.account = part("account")
    this.ideas = part("ideas")
    this.input = part("text")
    this.others = new Map()  // approval codes of the other person, for a try
    this.sending = Promise.resolve()
    this.waiting = 0
    this.known = new Set()  // ids of the messages that are shown
    this.parked = new Map()  // the bubbles of those that wait for their person, by the same ids
    const form = part("form")
    form.addEventListener("submit", event => { event.preventDefault(); this.submit() })
    this.input.addEventListener("input", () => this.fit())
    this.input.addEventListener("keydown", event => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
      event.preventDefault()
      this.submit()
    })
    this.showIdeas()
  }

  async begin() {
    await this.catchUp()
  }

  submit() {
    const text = this.input.value.trim()
    if (!text) return
    this.input.value = ""
    this.input.focus()
    this.fit()
    this.say(text)
  }

  // Messages of one conversation are answered in order, so they are posted in order too.
  say(text) {
    this.dispatchEvent(new Event("asked"))
    this.add("mine", el("p", {}, text))
    const bubble = this.add("theirs", working(this.name))
    this.log.setAttribute("aria-busy", "true")
    this.waiting++
    this.sending = this.sending.then(() => this.answer(text, bubble)).catch(error => this.fail(error, bubble)).finally(() => {
      if (!--this.waiting) this.log.removeAttribute("aria-busy")
    })
    return this.sending
  }

  async answer(text, bubble) {
    let message = null, written = ""
    for await (const {kind, data} of send(this.player, text)) {
      if (kind === "accepted") this.known.add(message = data.message)
      if (kind === "text") {
        written += data.delta
        bubble.replaceChildren(...markdown(written))
      }
      if (kind === "tool") {
        written = ""
        bubble.replaceChildren(working(this.name))
      }
      if (kind === "working" && data.doing) bubble.replaceChildren(working(this.name, data.doing))
      if (kind === "status") this.show(data, bubble)
      this.scroll()
    }
    if (message && bubble.querySelector(".working")) this.show(await status(this.player, message), bubble)
    await this.showAccounts()
  }

  show(now, bubble) {
    bubble.dataset.message = now.message
    bubble.classList.toggle("failed", now.state === "failed")
    if (ENDED.has(now.state)) {
      bubble.replaceChildren(...markdown(now.answer ?? ""), ...this.choices(now))
    } else {
      this.ask(now, bubble)
      this.follow(now.message, bubble)
    }
    this.scroll()
  }

  // Shows what a waiting message waits for.
  ask(now, bubble) {
    bubble.shown = JSON.stringify(now)
    bubble.classList.add("asks")
    if (now.state !== "parked") {
      bubble.replaceChildren(working(this.name))
      return
    }
    if (now.sign_in === "code" && !this.input.value) {
      this.input.value = "confirm "
      this.input.focus()
    }
    if (now.approval) {
      bubble.code = now.approval.code
      this.dispatchEvent(new CustomEvent("pending", {detail: bubble.code}))
    }
    bubble.replaceChildren(...markdown(now.question ?? ""), ...this.choices(now))
  }

  // The buttons of a reply: each writes its command, or opens its page.
  choices({buttons = []}) {
    const made = buttons.map(({label, command, url, style}) => command ? this.button(label, command, style) : link(label, url, style))
    return made.length ? [el("div", {class: "choices"}, ...made)] : []
  }

  // Looks now and then at what waits, until all of it is answered: that happens once its person consents or decides.
  follow(message, bubble) {
    this.parked.set(message, bubble)
    this.timer ??= setInterval(() => {
      if (!document.hidden) this.catchUp().catch(() => this.dispatchEvent(new Event("lost")))
    }, LOOK_MILLISECONDS)
  }

  // Shows what has changed, and what somebody wrote as this person elsewhere: in another window, or with curl.
  async catchUp() {
    const {messages} = await latest(this.player)
    for (const now of messages) {
      const bubble = this.parked.get(now.message)
      if (bubble) this.change(now, bubble)
      else if (!this.waiting && !this.known.has(now.message)) {
        this.known.add(now.message)
        this.add("mine", el("p", {}, now.text))
        this.show(now, this.add("theirs"))
      }
    }
    await this.showAccounts()
  }

  change({text, ...now}, bubble) {
    if (!ENDED.has(now.state)) {
      if (JSON.stringify(now) !== bubble.shown) this.ask(now, bubble)
      return
    }
    this.parked.delete(now.message)
    if (!this.parked.size) this.timer = clearInterval(this.timer)
    for (const choice of bubble.querySelectorAll(".choices > *")) choice.remove()
    bubble.classList.remove("asks")
    if (bubble.code) this.dispatchEvent(new CustomEvent("decided", {detail: bubble.code}))
    this.show(now, this.add("theirs"))
  }

  async showAccounts() {
    const {accounts: connected} = await accounts(this.player)
    this.account.replaceChildren(...connected.map(({provider, email, credential}) => el("span", {class: "connected"},
      provider === "Google" ? email : `${provider}: ${email}`, " ",
      el("code", {class: "key", title: `credential ${credential}`}, credential.slice(0, 8)),
    )))
    if (connected.some(({provider}) => provider !== "Google")) this.dispatchEvent(new Event("connected-further"))
    if (connected.length) this.dispatchEvent(new Event("connected"))
    else this.account.append("no account connected yet")
  }

  showIdeas() {
    const tries = [...this.others].map(([code, name]) => this.idea(`approve ${code}`, `Try ${name}’s code: approve ${code}`))
    for (const each of tries) {
      each.classList.add("try")
      each.addEventListener("click", () => this.dispatchEvent(new Event("tried")))
    }
    this.ideas.replaceChildren(...tries, ...IDEAS[this.player].map(text => this.idea(text)))
  }

  otherIsAsked(code, name) {
    this.others.set(code, name)
    this.showIdeas()
  }

  otherHasDecided(code) {
    this.others.delete(code)
    this.showIdeas()
  }

  idea(text, label = text) {
    return el("button", {type: "button", title: text, onclick: () => this.say(text)}, label)
  }

  button(label, command, style) {
    return el("button", {type: "button", class: style, onclick: event => {
      for (const each of event.currentTarget.parentElement.children) each.disabled = true
      this.say(command)
    }}, label)
  }

  add(whose, ...content) {
    this.hello.hidden = true
    const who = whose === "mine" ? this.name : "Assistant"
    const bubble = el("div", {class: "text"}, ...content)
    this.log.append(el("article", {class: `bubble ${whose}`, "aria-label": who}, bubble))
    this.scroll()
    return bubble
  }

  fail(error, bubble) {
    if (error instanceof Lost) this.dispatchEvent(new Event("lost"))
    bubble.classList.add("failed")
    bubble.replaceChildren(el("p", {}, error instanceof Lost ? "The connection to the server was lost." : error.message))
  }

  fit() {
    this.input.style.height = "auto"
    this.input.style.height = `${this.input.scrollHeight}px`
  }

  // Shows the end; of an answer that is longer than the window, its beginning, below the question.
  scroll() {
    const last = this.log.lastElementChild
    const isLong = last.offsetHeight > this.log.clientHeight * 0.7 && !last.querySelector(".choices")
    const question = last.previousElementSibling
    const start = isLong && question?.matches(".mine") ? question : last
    this.log.scrollTop = isLong ? start.offsetTop - this.log.offsetTop - 12 : this.log.scrollHeight
  }
}

function link(label, url, style) {
  return el("a", {class: `button ${style}`, href: url, target: "_blank", rel: "noopener"}, label)
}

function working(name, doing) {
  const dots = [1, 2, 3].map(() => el("i"))
  return el("p", {class: "working"}, el("span", {class: "dots", "aria-hidden": "true"}, ...dots), ...(doing ? [doing] : []),
    el("span", {class: "hidden"}, `${name}’s assistant is working`))
}
