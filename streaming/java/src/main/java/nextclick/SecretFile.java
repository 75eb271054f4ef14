package nextclick;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.ConfigData;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.ConfigException;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.provider.ConfigProvider;

/**
 * Gives Kafka's client a secret out of a file, for references in its configuration (see {@code
 * settings/kafka.py}): {@code whole}, without the line's end, or {@code quoted}, as it stands
 * between the quotes of a JAAS configuration. The client resolves them where it runs, so neither
 * the job's graph nor what Flink shows of it has the secret.
 */
public final class SecretFile implements ConfigProvider {
  @Override
  public void configure(Map<String, ?> configs) {}

  @Override
  public ConfigData get(String path) {
    return get(path, Set.of("whole", "quoted"));
  }

  @Override
  public ConfigData get(String path, Set<String> keys) {
    String whole;
    try {
      whole = Files.readString(Path.of(path)).replaceAll("[\\r\\n]+$", "");
    } catch (IOException e) {
      throw new ConfigException("the file " + path + " with a secret of Kafka cannot be read: " + e);
    }
    Map<String, String> known =
        Map.of("whole", whole, "quoted", whole.replace("\\", "\\\\").replace("\"", "\\\""));
    Map<String, String> asked = new HashMap<>(known);
    asked.keySet().retainAll(keys);
    return new ConfigData(asked);
  }

  @Override
  public void close() {}
}
