// What is hard to read, or cannot be reached, on the page that a browser shows; by WCAG 2.2, level AA.
() => {
    const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true})

    function parts(color) {
        pen.clearRect(0, 0, 1, 1)
        pen.fillStyle = color
        pen.fillRect(0, 0, 1, 1)
        const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data
        return {rgb: [red, green, blue], alpha: alpha / 255}
    }

    function ground() {
        const probe = document.body.appendChild(document.createElement("p"))
        probe.style.backgroundColor = "Canvas"
        const {rgb} = parts(getComputedStyle(probe).backgroundColor)
        probe.remove()
        return rgb
    }

    const over = (upper, alpha, lower) => upper.map((value, index) => value * alpha + lower[index] * (1 - alpha))

    function behind(element) {
        if (element === null) return ground()
        const {rgb, alpha} = parts(getComputedStyle(element).backgroundColor)
        return over(rgb, alpha, behind(element.parentElement))
    }

    const opacity = element => element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1

    function luminance(rgb) {
        const [red, green, blue] = rgb
            .map(value => value / 255)
            .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    function contrast(color, element) {
        const {rgb, alpha} = parts(color), lower = behind(element)
        const upper = over(rgb, alpha * opacity(element), lower)
        const [dark, bright] = [upper, lower].map(luminance).sort((one, other) => one - other)
        return (bright + 0.05) / (dark + 0.05)
    }

    const ownText = element => [...element.childNodes]
        .filter(node => node.nodeType === Node.TEXT_NODE)
        .map(node => node.data).join("").trim()

    const faults = []
    if (!document.documentElement.lang) faults.push("the page has no language")
    if (!document.title) faults.push("the page has no title")
    const wide = document.documentElement.scrollWidth
    if (wide > innerWidth) faults.push(`the page is ${wide} px wide, of which ${innerWidth} are shown`)
    for (const element of document.body.querySelectorAll("*")) {
        const text = ownText(element).slice(0, 40), style = getComputedStyle(element)
        if (!text || !element.checkVisibility()) continue
        const ratio = contrast(style.color, element)
        if (ratio < 4.5) faults.push(`contrast of ${ratio.toFixed(1)}: ${text}`)
        if (parseFloat(style.fontSize) < 12) faults.push(`letters of ${style.fontSize}: ${text}`)
    }
    for (const input of document.querySelectorAll("input:not([type=hidden])"))
        if (!input.labels.length) faults.push(`no label: ${input.name}`)
    const focused = document.activeElement
    if (focused !== document.body) {
        const style = getComputedStyle(focused), ratio = contrast(style.outlineColor, focused.parentElement)
        if (style.outlineStyle === "none" || ratio < 3) faults.push(`the focus is not seen: ${focused.outerHTML}`)
    }
    return faults
}
