"""The words of the sample catalogue: departments, brands, series, products and styles, all synthetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """One kind of thing a department sells.

    Attributes:
        name: What it is called.
        price: Price in a series of the middle class, in euros.
        text: One sentence about it.
    """

    name: str
    price: float
    text: str


@dataclass(frozen=True)
class Department:
    """One category of the catalogue.

    Attributes:
        name: The category.
        peak: Month (1 to 12) in which it sells best.
        swing: How far the season moves it: 0 not at all, 1 to nothing in the opposite month.
        brands: Brands that sell here; they take turns in owning `series`.
        series: Product lines, most popular first.
        products: In the order in which people come to need them: the main product, then what goes with it.
    """

    name: str
    peak: int
    swing: float
    brands: tuple[str, ...]
    series: tuple[str, ...]
    products: tuple[Product, ...]


@dataclass(frozen=True)
class Style:
    """A taste that runs through every department.

    Attributes:
        name: The word in the keywords.
        price: Factor on the product's price.
        text: One sentence about it.
    """

    name: str
    price: float
    text: str


STYLES = (
    Style("lightweight", 1.35, "Every gram that was not needed has been left out, so it carries easily."),
    Style("family", 0.95, "Sturdy and roomy, made for several people and for years of careless hands."),
    Style("classic", 1.10, "The look of a good old workshop, in wood, brass and waxed cotton where it makes sense."),
    Style("compact", 0.85, "Folds away small and finds room in any flat, boot or backpack."),
    Style("professional", 1.90, "Built to the demands of people who use it every working day."),
)

COLOURS = (
    "moss green", "slate grey", "rust red", "sand", "midnight blue", "black",
    "ivory", "mustard", "sky blue", "terracotta", "pine", "graphite",
)  # fmt: skip

DEPARTMENTS = (
    Department(
        "Camping", 7, 0.8,
        ("Velhorn", "Tarnbeck", "Oskerry", "Pinewrought"),
        ("Fjell", "Heron", "Saddleback", "Nightjar", "Basecamp", "Drumlin", "Élan", "Moraine", "Larch", "Skerry",
         "Col", "Bivvy", "Tundra", "Wayfarer"),
        (
            Product("Two-Person Tent", 219, "A double-wall tent with two doors and a porch for wet boots."),
            Product("Tent Groundsheet", 35, "A tough sheet that keeps stones and damp away from the tent floor."),
            Product("Inflatable Sleeping Mat", 79, "Six centimetres of air between you and the cold ground."),
            Product("Down Sleeping Bag", 189, "A mummy bag filled with gathered down, warm to zero degrees."),
            Product("Gas Camping Stove", 59, "A folding burner that boils half a litre in three minutes in any wind."),
            Product("Nesting Cook Set", 49, "Two pots, a pan and a lid that pack into one another."),
        ),
    ),
    Department(
        "Cycling", 5, 0.6,
        ("Quillspoke", "Draymoor", "Vantrel", "Hubbardine"),
        ("Gravelline", "Peloton Nord", "Kestrel", "Switchback", "Towpath", "Cadence", "Derny", "Velours", "Chicane",
         "Ridgeway", "Sprocket", "Audax", "Bidon", "Courier"),
        (
            Product("Steel Touring Bicycle", 899, "A calm long-distance bicycle with room for wide tyres."),
            Product("Rear Pannier Rack", 45, "Carries twenty-five kilograms and bolts on without special tools."),
            Product("Waterproof Pannier Bag", 69, "A roll-top bag that hangs on the rack and shrugs off rain."),
            Product("Front Bicycle Light", 55, "A bright beam with a sharp upper edge that dazzles nobody."),
            Product("Bicycle Repair Kit", 29, "Tyre levers, patches, a chain tool and the keys that go missing."),
            Product("Floor Pump", 39, "A stable pump with a clear gauge and a head for every valve."),
        ),
    ),
    Department(
        "Kitchen", 12, 0.4,
        ("Kettlewick", "Brambourne", "Panorra", "Saltmere"),
        ("Hearth", "Cocotte Noire", "Thyme", "Ember", "Larder", "Copperline", "Sauté", "Butcher Row", "Skillet Hill",
         "Pantry", "Rosemary", "Galley", "Umbra", "Farmhouse"),
        (
            Product("Chef's Knife", 89, "A twenty-centimetre blade that holds its edge through a mountain of onions."),
            Product("Knife Sharpening Stone", 35, "Two grits in one stone, with a base that does not slip."),
            Product("End-Grain Cutting Board", 65, "A heavy board that is kind to blades and hides its scars."),
            Product("Cast-Iron Casserole", 149, "Keeps a stew at a murmur for hours and goes from hob to table."),
            Product("Carbon Steel Frying Pan", 59, "Light, quick to heat, and better with every steak."),
            Product("Spice Mill", 32, "A ceramic grinder for pepper, coriander and everything whole."),
        ),
    ),
    Department(
        "Coffee", 11, 0.3,
        ("Grindlemoss", "Ristrova", "Torrefin", "Cupwright"),
        ("Café Aurore", "Doppio", "Morning Ritual", "Crema", "Barista Lane", "Ristretto", "Bloom", "Arabesque",
         "Señorita", "Mocha Hill", "Filterhaus", "Slow Pour", "Cortado", "Demitasse"),
        (
            Product("Espresso Machine", 449, "A small machine with a real boiler and a steam wand for milk."),
            Product("Burr Coffee Grinder", 139, "Forty even grind settings, from espresso to French press."),
            Product("Coffee Tamper", 29, "A flat steel base that presses the puck level every time."),
            Product("Milk Frothing Jug", 24, "A spouted steel jug for foam that pours into hearts."),
            Product("Espresso Cup Set", 34, "Four thick-walled cups that keep a short coffee hot."),
            Product("Descaling Kit", 18, "Citric powder and a brush that give the boiler its pressure back."),
        ),
    ),
    Department(
        "Garden", 4, 0.85,
        ("Loamfield", "Trowelby", "Greenmarrow", "Hedgerly"),
        ("Allotment", "Foxglove", "Orchard", "Potting Shed", "Bramble", "Kitchen Garden", "Dahlia", "Topiary",
         "Compost King", "Meadow", "Yew", "Rosé Arbour", "Walled Garden", "Hazel"),
        (
            Product("Raised Garden Bed", 119, "Larch boards that slot together into a bed at hip height."),
            Product("Potting Compost", 14, "Forty litres of peat-free compost with worm castings."),
            Product("Vegetable Seed Collection", 19, "Twelve old varieties with sowing dates on every packet."),
            Product("Hand Trowel and Fork", 27, "A forged pair that does not bend on the first stone."),
            Product("Drip Irrigation Kit", 54, "Waters thirty plants by the hour while you are away."),
            Product("Secateurs", 42, "Bypass blades for stems as thick as a thumb."),
        ),
    ),
    Department(
        "Photography", 6, 0.4,
        ("Lumenquist", "Apertine", "Fokalis", "Shutterhelm"),
        ("Golden Hour", "Bokeh", "Contact Sheet", "Parallax", "Darkroom", "Silverprint", "Vignette", "Exposé",
         "Panorama", "Halide", "Rangefinder", "Overcast", "Corner Street", "Long Shadow"),
        (
            Product("Mirrorless Camera", 949, "A quiet camera with a bright viewfinder and two card slots."),
            Product("Prime Lens 35 mm", 379, "A fast lens that sees about as much as you do."),
            Product("Carbon Camera Tripod", 189, "Stands still in wind and folds to the length of a loaf."),
            Product("Padded Camera Bag", 89, "Opens from the back, with dividers for a body and three lenses."),
            Product("Neutral Density Filter", 49, "Takes light away so that water turns to silk."),
            Product("Memory Card 128 GB", 39, "Keeps up with a burst of sixty pictures without a pause."),
        ),
    ),
    Department(
        "Guitar", 12, 0.3,
        ("Strumley", "Fretwold", "Tonnara", "Halversound"),
        ("Delta", "Parlour", "Campfire", "Nocturne", "Juke Joint", "Flamenco", "Silver Bell", "Backporch", "Ballad",
         "Midnight Train", "Troubadour", "Honeywood", "Open Mic", "Harbour"),
        (
            Product("Acoustic Guitar", 329, "A spruce top and a neck that beginners and old hands both like."),
            Product("Guitar String Set", 12, "Phosphor bronze strings with a warm tone that lasts."),
            Product("Clip-On Tuner", 17, "Reads the string through the wood, even on a loud stage."),
            Product("Padded Gig Bag", 59, "Twenty millimetres of foam and straps for a long walk to practice."),
            Product("Guitar Capo", 19, "Clamps with one hand and does not pull strings out of tune."),
            Product("Fingerstyle Songbook", 22, "Forty pieces from easy to stubborn, in notes and tablature."),
        ),
    ),
    Department(
        "Running", 3, 0.5,
        ("Stridane", "Pavoro", "Fleetmarsh", "Tempolane"),
        ("Negative Split", "Dawn Patrol", "Tempo", "Coastline", "Fartlek", "Second Wind", "Hare", "Long Sunday",
         "Kilomètre", "Flatout", "Towline", "Downhill", "Trackside", "Easy Mile"),
        (
            Product("Road Running Shoes", 139, "Springy foam under a breathing upper, for daily miles."),
            Product("Running Socks", 16, "Seamless toes and a heel that stays where it belongs."),
            Product("Running Watch", 199, "Pace, pulse and a map that leads you home."),
            Product("Hydration Vest", 99, "Two soft bottles at the chest and no bouncing at the back."),
            Product("Reflective Running Jacket", 109, "Stops drizzle and shines in headlights."),
            Product("Foam Massage Roller", 29, "Argues with tight calves until they give in."),
        ),
    ),
    Department(
        "Painting", 10, 0.3,
        ("Pigmentry", "Ochreline", "Canvary", "Brushtide"),
        ("Atelier", "Plein Air", "Sienna", "Sketch Club", "Cobalt", "Chiaroscuro", "Blank Page", "Viridian",
         "Étude", "Umber", "Varnishing Day", "Gouache Garden", "Easel Street", "Madder"),
        (
            Product("Oil Paint Set", 69, "Twenty-four tubes with honest pigment names on every label."),
            Product("Bristle Brush Set", 34, "Ten brushes, flats and filberts, that keep their spring."),
            Product("Stretched Canvas Pack", 39, "Five primed cotton canvases on frames that stay square."),
            Product("Beechwood Field Easel", 119, "A folding easel with a drawer and legs for uneven ground."),
            Product("Wooden Palette", 19, "Oiled, balanced and shaped for the crook of an arm."),
            Product("Picture Varnish", 16, "A clear coat that deepens colours and comes off when it must."),
        ),
    ),
    Department(
        "Dogs", 9, 0.2,
        ("Waggleton", "Barkmoor", "Pawlish", "Houndery"),
        ("Good Boy", "Muddy Lane", "Fetch", "Old Faithful", "Whippet", "Squirrel Watch", "Tailwind", "Naptime",
         "Puddle", "Chéri", "Sniffari", "Kennel Row", "Biscuit", "Zoomies"),
        (
            Product("Orthopaedic Dog Bed", 89, "Thick memory foam with a cover that survives the washing machine."),
            Product("Washable Dog Blanket", 25, "Soft on one side, waterproof on the other."),
            Product("Padded Dog Harness", 45, "Spreads the pull over the chest and slips on over the head."),
            Product("Training Lead", 22, "Ten metres of webbing that float and do not burn hands."),
            Product("Slow-Feeding Bowl", 18, "A little maze that turns two minutes of dinner into ten."),
            Product("Dog Grooming Brush", 21, "Lifts the undercoat before the sofa does."),
        ),
    ),
    Department(
        "Board Games", 12, 0.7,
        ("Meepleforth", "Dicewell", "Cardamund", "Tabulon"),
        ("Lighthouse Keepers", "Salt Road", "Clockmakers", "Isle of Terns", "Caravan", "Cathédrale", "Beekeepers",
         "Night Market", "Cartographers' Guild", "Glass Harbour", "Spice Fleet", "Hedge Maze", "Orrery",
         "Winter Court"),
        (
            Product("Strategy Board Game", 49, "Two hours of plans for two to five players, from twelve years."),
            Product("Board Game Expansion", 29, "A new board, a fifth player and a rule that changes everything."),
            Product("Card Sleeve Pack", 9, "A hundred clear sleeves that shuffle without sticking."),
            Product("Wooden Game Insert", 34, "Trays that put every token in its place and halve the setting up."),
            Product("Metal Coin Set", 26, "Sixty heavy coins that make trading feel like trading."),
            Product("Neoprene Play Mat", 39, "A soft mat that lets cards be picked up and dice roll quietly."),
        ),
    ),
    Department(
        "Home Office", 1, 0.5,
        ("Deskerley", "Ergovane", "Plankhurst", "Inkhollow"),
        ("Monday", "Quiet Corner", "Deep Work", "North Light", "Bureau", "Corner Table", "Paperback", "Study",
         "Résumé", "Clockwise", "Inbox Zero", "Ledger", "Attic", "Commons"),
        (
            Product("Standing Desk", 429, "Rises in ten silent seconds and remembers four heights."),
            Product("Ergonomic Office Chair", 299, "Moves with the back and asks for no lessons."),
            Product("Monitor Arm", 89, "Lifts a screen off the desk and turns it with two fingers."),
            Product("Mechanical Keyboard", 119, "Quiet switches under keys that can be read at night."),
            Product("Desk Lamp", 69, "Even light without glare, from warm evening to cold morning."),
            Product("Cable Tray", 27, "A steel basket that takes the snakes off the floor."),
        ),
    ),
)  # fmt: skip
