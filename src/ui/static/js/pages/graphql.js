// GraphiQL, on the endpoint of this page's own address.

import { urlOf } from "../api.js";
import { mend } from "../mend.js";
import { mountTools } from "../shell.js";

const EXAMPLE = `# A moving-average crossover on simulated prices, and whether to believe it.
mutation {
  runBacktest(input: {
    userId: "me"
    fetchInput: { symbol: "BTCUSDT", interval: "1d", limit: 1000, source: "simulated", seed: 7 }
    strategy: { maCrossover: { fast: 20, slow: 50 } }
  }) {
    id
    totalReturn
    judgement { verdict { level reasons { text } } }
  }
}
`;

mountTools();
const element = document.documentElement;
const main = document.getElementById("main");
main.replaceChildren();
mend(main, [
  [".graphiql-query-editor textarea", "aria-label", "Document"],
  [".graphiql-editor-tool .graphiql-editor:nth-child(1) textarea", "aria-label", "Variables"],
  [".graphiql-editor-tool .graphiql-editor:nth-child(2) textarea", "aria-label", "Headers"],
  [".graphiql-response textarea", "aria-label", "Response"],
  [".CodeMirror-scroll", "tabindex", "0"],
]);
const { createElement } = React;
const drawn = ReactDOM.createRoot(main);

function draw(isDark) {
  drawn.render(
    createElement(GraphiQL, {
      fetcher: GraphiQL.createFetcher({ url: urlOf("/graphql") }),
      defaultQuery: EXAMPLE,
      forcedTheme: isDark ? "dark" : "light",
      shouldPersistHeaders: false,
    }),
  );
}

element.addEventListener("themechange", (event) => draw(event.detail.isDark));
draw(element.classList.contains("dark-mode"));
