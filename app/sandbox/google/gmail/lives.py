"""The lives of the sandbox's people, as far as their mail shows them."""

from __future__ import annotations

from app.sandbox.google.gmail.topics import Life, Topic

ADA = Life(
    company="analytical-engine.example",
    work=(
        Topic(
            "Punched cards: {n} boxes short",
            "The printer delivered {n} boxes fewer than we ordered. The weaving test on {day} needs all of them.\n\n"
            "Shall I chase them, or do you want to use the old deck for the first run?",
        ),
        Topic(
            "Your notes on Bernoulli numbers",
            "I have read Note G twice now. The loop in step {n} works, but the card for the {n2}th number is one "
            "row too "
            "high.\n\nCould we go through it together on {day}? Room {room} is free at {time}.",
        ),
        Topic(
            "Engine demo moved to {day}",
            "The visitors from {city} arrive later than planned, so the demo is now on {day} at "
            "{time}.\n\nPlease bring "
            "the long example. They liked it last time.",
        ),
        Topic(
            "Budget for the second mill",
            "The workshop's estimate is {money}, brass included. That is {n}% above what we had put aside.\n\nI need a "
            "yes or no from you before {day}.",
        ),
        Topic(
            "Minutes of the planning meeting",
            "Decided: the mill gets {n} new columns, the store stays as it is, and the carry mechanism is tested first."
            "\n\nOpen: who writes the manual. Your name came up.",
        ),
        Topic(
            "Could you look at the carriage drawings?",
            "The new drawings are on the shared drive. I am not sure about the tolerance on sheet {n}.\n\nTen "
            "minutes of "
            "your time would save the workshop a week.",
        ),
    ),
    services=(
        Topic(
            "Your train to {city} on {day}",
            "Coach {room}, seat {n2}. Departure {time}, no changes.\n\nShow this mail or the booking code {code} "
            "on board.",
            ("Northern Line Tickets", "bookings"),
        ),
        Topic(
            "Your order {code} has been sent",
            "Two reams of squared paper and a set of brass dividers are on their way. They arrive on {day}.",
            ("Lovell Stationers", "orders"),
        ),
        Topic(
            "Receipt for {money}",
            "Thank you for your visit. Paid by card: {money}. The receipt number is {code}.",
            ("Marylebone Books", "receipts"),
        ),
        Topic(
            "Your riding lesson on {day}",
            "We look forward to seeing you at {time}. Clover is ready for you. Please bring a hat.",
            ("Ockham Stables", "hello"),
        ),
    ),
    newsletters=(
        Topic(
            "The Weekly Proof: {n} ways to sum a series",
            "This week: why the harmonic series never ends, a proof without words, and a puzzle about {n2} hats."
            "\n\nThe solution of last week's puzzle is {n}.",
            ("The Weekly Proof", "letters"),
        ),
        Topic(
            "Looms & Logic, issue {n2}",
            "Patterns that compute: a visit to the mill in {city}. Also: what a ribbon knows about parity.",
            ("Looms & Logic", "news"),
        ),
    ),
    invitation=Topic(
        "Invitation: Engine review, {day} {time}",
        "You are invited to the engine review on {day} at {time} in room {room}.\n\nWe go through the open faults and "
        "choose the example for the visitors.",
    ),
    file=(
        Topic(
            "Test run of {day}: the figures",
            "The table of last night's run is attached. Row {n} looks wrong to me.\n\nTell me if you want it run "
            "again.",
        ),
        ("card", "column", "result"),
    ),
    threads=(
        (
            "Title for the translation",
            "Menabrea's text needs an English title by {day}. I would keep it short: Sketch of the Analytical Engine.",
            "Short is good. But my notes are longer than his text by now, so they should be named as well.",
            "Then: Sketch of the Analytical Engine, with Notes by the Translator. The printer is happy with that.",
        ),
        (
            "Who feeds the cat while we are in {city}?",
            "We are away from {day}, and Puff does not like the kennel. Do you know somebody?",
            "My neighbour's daughter would do it for {n} pounds a day. She is good with cats.",
            "That is perfect. I will leave the key with you on {day}.",
        ),
    ),
)

GRACE = Life(
    company="harbour-computing.example",
    work=(
        Topic(
            "Compiler: {n} tests still red",
            "After last night's merge {n} tests fail, all of them in the subroutine library.\n\nI have a fix for "
            "half of "
            "them. Do we hold the release on {day}?",
        ),
        Topic(
            "There was a moth in relay {room}",
            "No joke. I taped it into the logbook and wrote the time beside it. The machine is running again."
            "\n\nPanel F should be cleaned before {day}.",
        ),
        Topic(
            "Standards committee: agenda for {day}",
            "Item {n} is yours: words instead of symbols. Please keep it to ten minutes; {city} will object.",
        ),
        Topic(
            "Watch list for {day}",
            "You have the night watch with me, from {time}. The reserve is still open.\n\nTell me by noon if you "
            "have to "
            "swap.",
        ),
        Topic(
            "More wire for your nanoseconds",
            "The stores found {n2} metres of bell wire. Cut to thirty centimetres, that is a nanosecond for "
            "everybody in "
            "the hall.\n\nShall I cut them before {day}?",
        ),
        Topic(
            "Reviewers wanted: the new manual",
            "Chapter {n} explains jumps without saying what a jump is. You would see that in a minute.\n\nThe printer "
            "waits until {day}.",
        ),
    ),
    services=(
        Topic(
            "Gate change: your flight to {city}",
            "Your flight on {day} at {time} now leaves from gate {room}. Your booking code is {code}.",
            ("Atlantic Air", "flights"),
        ),
        Topic(
            "Your clock has been repaired",
            "It runs counter-clockwise again, as you asked. You can collect it until {day}. The repair was {money}.",
            ("Harbour Clocks", "workshop"),
        ),
        Topic(
            "Payment received: {money}",
            "Thank you. Your berth is paid until the end of the month. The receipt number is {code}.",
            ("Pier {room} Marina", "office"),
        ),
        Topic(
            "Your talk on {day}: hotel and lecture hall",
            "We booked room {room} for you. The hall has {n2}0 seats, and all of them are taken.",
            ("Seaside Lectures", "speakers"),
        ),
    ),
    newsletters=(
        Topic(
            "Bits & Bearings no. {n2}",
            "This month: navigation by radio, a compiler in {n} pages, and a reader from {city} who still uses mercury."
            "\n\nNext month: why it has always been done that way.",
            ("Bits & Bearings", "editor"),
        ),
        Topic(
            "The Quiet Harbour: tides and talks in {city}",
            "High water on {day} is at {time}. The museum opens the old signal station for one day.",
            ("The Quiet Harbour", "news"),
        ),
    ),
    invitation=Topic(
        "Invitation: Release meeting, {day} {time}",
        "You are invited to the release meeting on {day} at {time} on deck {room}.\n\nWe decide whether "
        "version {n} goes "
        "to the fleet.",
    ),
    file=(
        Topic(
            "Timings of the sort routine",
            "The timings are attached, old and new. The new one wins from {n2} cards on.\n\nCan we show this on {day}?",
        ),
        ("cards", "old_ms", "new_ms"),
    ),
    threads=(
        (
            "Dinner for the crew on {day}?",
            "Everybody has worked late for {n} weeks. I would like to take them out. Where do twelve people fit?",
            "The Lobster Pot has a long table. They need to know by {day} how many eat no fish.",
            "Two eat no fish. I have reserved for {time} under your name.",
        ),
        (
            "Spare tubes from {city}",
            "They have {n2} tubes left and want {money} for all of them. Is that a good price?",
            "It is, if half of them glow. Ask whether we can send back the others.",
            "We can, within a month. I have ordered them; they come on {day}.",
        ),
    ),
)

# For people who are made up, too, and of whom nothing else is known.
ANYBODY = Life(
    company="acme.example",
    work=(
        Topic("Slides for {day}", "My part is done, yours is slides {n} to {n2}. Can you finish them by {time}?"),
        Topic("Desk move on {day}", "Our row moves to floor {n}. Please pack your desk before {time}."),
        Topic("Numbers for {city}", "The office in {city} asks for last month's numbers. It was {money}, was it not?"),
        Topic(
            "Coffee machine, part {n}", "It is broken again. The service comes on {day}. Tea is where it always was."
        ),
        Topic("Cover for me on {day}?", "I am at the dentist until {time}. Could you take the call with {city}?"),
        Topic("Printer on floor {n}", "It prints everything {n2} times. Please use the one in room {room}."),
    ),
    services=(
        Topic(
            "Your parcel arrives on {day}",
            "It comes before {time}. The code for the box is {code}.",
            ("Parcels", "post"),
        ),
        Topic(
            "Your receipt: {money}", "Thank you for your purchase. The number is {code}.", ("Corner Shop", "receipts")
        ),
        Topic("Booking {code} confirmed", "A table for {n} on {day} at {time}.", ("Table & Chair", "bookings")),
        Topic("Your bill of this month", "You used {n2} units, which makes {money}.", ("City Power", "billing")),
    ),
    newsletters=(
        Topic(
            "Five good things, no. {n2}",
            "A walk in {city}, a soup for {day}, and {n} books.",
            ("Five Good Things", "news"),
        ),
        Topic("Offers of the week", "From {day}: {n}% off everything that is blue.", ("Blue Store", "offers")),
    ),
    invitation=Topic(
        "Invitation: Team lunch, {day} {time}", "You are invited to lunch on {day} at {time}, room {room}."
    ),
    file=(Topic("The list for {day}", "The list is attached. Is line {n} right?"), ("item", "count", "place")),
    threads=(
        (
            "Birthday present",
            "We are {n} people, so {n2} each would do. Who has an idea?",
            "A book about {city}? That would be easy to find.",
            "Good. I will order it, it is here by {day}.",
        ),
        (
            "Room {room} on {day}",
            "I need the room from {time}. Is your meeting over by then?",
            "It is if we begin earlier. I will ask the others.",
            "They agree. The room is yours.",
        ),
    ),
)

LIVES = {"ada@sandbox.example": ADA, "grace@sandbox.example": GRACE}
