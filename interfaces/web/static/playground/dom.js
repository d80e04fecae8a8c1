// Elements, and answers in Markdown as elements: text is never taken for HTML.

export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value)
    else if (value === true) element.setAttribute(key, "")
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value)
  }
  element.append(...children)
  return element
}

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|(https?:\/\/[^\s<>)\]]+)/g

function inline(text) {
  const parts = []
  let end = 0
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(end, match.index))
    const [all, code, strong, emphasised, url] = match
    if (code) parts.push(el("code", {}, code))
    else if (strong) parts.push(el("strong", {}, strong))
    else if (emphasised) parts.push(el("em", {}, emphasised))
    else parts.push(el("a", {href: url, target: "_blank", rel: "noopener"}, shorten(url)))
    end = match.index + all.length
  }
  return [...parts, text.slice(end)]
}

// A consent link is long, and its end is a secret that nobody needs to read.
const shorten = url => url.replace(/^https?:\/\//, "").replace(/(?<=.{32}).+/, "…")

const ITEM = /^ {0,3}(?:[-*]|\d+[.)]) +(.*)$/

// Paragraphs, lists and indented blocks; anything else is shown as it was written.
export function markdown(text) {
  const blocks = []
  let list = null, paragraph = null, block = null
  const end = () => { list = paragraph = block = null }
  for (const line of text.split("\n")) {
    const item = ITEM.exec(line)
    if (/^ {4}/.test(line) && !list && !(paragraph && !paragraph.isQuestion)) {
      if (!block) blocks.push(block = el("pre"))
      block.append(`${block.textContent ? "\n" : ""}${line.slice(4)}`)
      paragraph = null
    } else if (item) {
      if (!list) { end(); blocks.push(list = el(/^ *\d/.test(line) ? "ol" : "ul")) }
      list.append(el("li", {}, ...inline(item[1])))
    } else if (!line.trim()) {
      end()
    } else if (list && /^ {2,}/.test(line)) {
      list.lastElementChild.append(el("br"), ...inline(line.trim()))
    } else {
      list = block = null
      if (paragraph) paragraph.append(el("br"), ...inline(line))
      else {
        blocks.push(paragraph = el("p", {}, ...inline(line)))
        paragraph.isQuestion = line.endsWith("?")  // an approval's arguments follow without an empty line
      }
    }
  }
  return blocks
}
