// A search service: a folder is embedded by a run into an index that knows what a similarity means, which is then served.
// node examples/dist/search-server.js runs/photos photos photos.index 8080
// curl --silent --show-error --data-binary @photo.png -H 'Content-Type: image/png' 'http://127.0.0.1:8080/search?top=5'
import { calibrateIndex, indexFolder, openModel, serve } from 'conquer-dml';

const [run = 'runs/photos', folder = 'photos', file = 'photos.index', port = '8080'] = process.argv.slice(2);
{
  using model = await openModel(run);
  const { index } = await indexFolder(model, folder);
  using photos = index;
  calibrateIndex(photos); // by its labels, which here are the class folders
  photos.save(file);
}
// Network and index live in a thread of their own; what is asked for at the same time is embedded together.
const service = await serve({ index: file, port: Number(port), onNote: console.error });
console.log(`listening on ${service.url}`);
process.once('SIGTERM', () => void service.close()); // what is under way is answered first
await service.closed;
